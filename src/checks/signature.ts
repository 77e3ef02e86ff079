import type { Check } from './check.ts'

export const signatureCheck: Check = {
  id: 'signature',
  title: 'The signature is by a known key',
  modes: ['smoke', 'integrity', 'database'],
  vouches: true,
  async run(context) {
    const { signature } = await context.openSet()
    if (signature === 'checked') return { summary: 'made by a key in verify-key', findings: [] }
    const summary = signature === 'none' ? 'the set is not signed' : 'signed, but no verify-key was given'
    return { status: 'not run', summary, findings: [] }
  },
}
