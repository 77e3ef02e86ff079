import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'

export interface CacheService {
  /** Environment variables that make `@actions/cache` use this service. */
  readonly env: Record<string, string>
  /** Finished entries by key. */
  readonly entries: Map<string, Buffer>
  /** Every call, as `CreateCacheEntry key`. */
  readonly calls: string[]
  /** While set, this is what every look-up finds, as if somebody had put it there. */
  planted: Buffer | undefined
  close(): Promise<void>
}

/** GitHub's cache service, version 2, as far as `@actions/cache` uses it: three Twirp calls and block blobs. */
export async function startCacheService(): Promise<CacheService> {
  const uploads = new Map<string, Buffer>()
  const service = {
    entries: new Map<string, Buffer>(),
    calls: [] as string[],
    planted: undefined as Buffer | undefined,
  }

  function answer(method: string, { key = '' }: { key?: string }): object {
    service.calls.push(`${method} ${key}`)
    const blob = `${origin}/account/blobs/${encodeURIComponent(key)}`
    if (method === 'CreateCacheEntry') {
      return service.entries.has(key) ? { ok: false } : { ok: true, signed_upload_url: `${blob}?sig=x` }
    }
    if (method === 'FinalizeCacheEntryUpload') {
      const content = uploads.get(key)
      if (content !== undefined) service.entries.set(key, content)
      return { ok: content !== undefined, entry_id: '1' }
    }
    const found = service.planted !== undefined || service.entries.has(key)
    return found ? { ok: true, matched_key: key, signed_download_url: `${blob}?sig=x` } : { ok: false }
  }

  const server = createServer(async (request, response) => {
    const body = await readBody(request)
    const path = new URL(request.url ?? '/', 'http://localhost').pathname
    const name = decodeURIComponent(path.split('/').at(-1) ?? '')
    if (request.method === 'POST') {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(answer(name, JSON.parse(body.toString('utf8')))))
    } else if (request.method === 'PUT') {
      uploads.set(name, body)
      response.writeHead(201, { etag: '"1"', 'last-modified': new Date().toUTCString() }).end()
    } else {
      const content = service.planted ?? service.entries.get(name) ?? Buffer.alloc(0)
      response.writeHead(200, { 'content-length': content.length })
      response.end(request.method === 'HEAD' ? undefined : content)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const origin = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  const env = { ACTIONS_RESULTS_URL: `${origin}/`, ACTIONS_RUNTIME_TOKEN: 'token', ACTIONS_CACHE_SERVICE_V2: 'True' }
  const close = async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  return Object.assign(service, { env, close })
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
