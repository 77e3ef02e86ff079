import { type Relay, startRelay } from './relay.ts'

/** A way to a server on which it says that it is of another major, of as many digits. Without TLS. */
export function startVersionProxy(target: { port: number; major: number }, major: number): Promise<Relay> {
  // 170012, and 17.12 (Debian 17.12-1): as long as before, so that every message keeps its length.
  const own = new RegExp(`\\b${target.major}(?=00\\d\\d\\b|\\.\\d)`, 'g')
  return startRelay(target.port, (client, server) => {
    // A setting that 17 brought; before that any name with a dot in it is taken.
    const known = (text: string) =>
      target.major < 17 ? text.replaceAll('transaction_timeout', 'transaction.timeout') : text
    client.on('data', (chunk) => server.write(Buffer.from(known(chunk.toString('latin1')), 'latin1')))
    server.on('data', (chunk) => {
      client.write(Buffer.from(chunk.toString('latin1').replaceAll(own, String(major)), 'latin1'))
    })
  })
}
