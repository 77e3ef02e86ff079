import type { Check } from './check.ts'

/** pg_dump refuses a newer server; whatever got round that knows nothing of what the server's major has brought. */
export const toolsCheck: Check = {
  id: 'tools',
  title: 'The dump was made by tools as new as the server',
  modes: ['smoke', 'integrity'],
  vouches: true,
  async run(context) {
    const { source, tools } = (await context.openSet()).manifest
    const summary = `pg_dump ${tools.pgDump}, server ${source.serverVersion}`
    if (Number.parseInt(tools.pgDump, 10) >= source.serverMajor) return { summary, findings: [] }
    const message = `The set was made by pg_dump ${tools.pgDump}, which is older than the server (${source.serverVersion})`
    const remedy = `Take a new dump with the tools of PostgreSQL ${source.serverMajor}: action-dump finds or installs them.`
    return { summary, findings: [{ severity: 'failure', message, remedy }] }
  },
}
