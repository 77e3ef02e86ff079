import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface Authority {
  /** Path of the certificate. */
  file: string
  /** A certificate of this authority, as PEM. `names` are subject alternative names: `DNS:db.example.test`. */
  issue(commonName: string, names?: string): Promise<{ certificate: string; key: string }>
  /** Removes the directory with the authority's files. */
  remove(): Promise<void>
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

async function signItself(commonName: string, extension: string, [certificate, key]: [string, string]): Promise<void> {
  const out = ['-keyout', key, '-out', certificate, '-days', '2']
  await run('openssl', ['req', '-x509', ...NEW_KEY, ...out, '-subj', `/CN=${commonName}`, '-addext', extension])
}

/** A certificate that no authority stands behind, as PEM. */
export async function createSelfSigned(
  commonName: string,
  names: string,
): Promise<{ certificate: string; key: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'lifeboat-own-'))
  const files: [string, string] = [join(directory, 'own.crt'), join(directory, 'own.key')]
  try {
    await signItself(commonName, `subjectAltName=${names}`, files)
    const [certificate = '', key = ''] = await Promise.all(files.map((file) => readFile(file, 'utf8')))
    return { certificate, key }
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** A throw-away certificate authority, made with the openssl command in a new directory under the system's own. */
export async function createAuthority(commonName: string): Promise<Authority> {
  const directory = await mkdtemp(join(tmpdir(), 'lifeboat-ca-'))
  const file = join(directory, 'ca.crt')
  await signItself(commonName, 'basicConstraints=critical,CA:TRUE', [file, join(directory, 'ca.key')])
  let serial = 0
  return {
    file,
    remove: () => rm(directory, { recursive: true, force: true }),
    issue: async (name, names) => {
      serial += 1
      const base = join(directory, String(serial))
      await run('openssl', ['req', ...NEW_KEY, '-keyout', `${base}.key`, '-out', `${base}.csr`, '-subj', `/CN=${name}`])
      await writeFile(`${base}.ext`, names === undefined ? '' : `subjectAltName=${names}\n`)
      const signing = [
        '-CA',
        file,
        '-CAkey',
        join(directory, 'ca.key'),
        '-set_serial',
        String(serial),
        '-days',
        '2',
        '-extfile',
        `${base}.ext`,
      ]
      await run('openssl', ['x509', '-req', '-in', `${base}.csr`, '-out', `${base}.crt`, ...signing])
      return { certificate: await readFile(`${base}.crt`, 'utf8'), key: await readFile(`${base}.key`, 'utf8') }
    },
  }
}
