import { appendFileSync, statSync } from 'node:fs'

/** A summary file above 1 MiB is thrown away whole by the runner, with the step still green (FileCommandManager.cs). */
const LARGEST_SUMMARY = 1_048_576

const CUT_NOTE = '\n\n*The summary was cut here: GitHub shows at most 1 MiB. The rest is in the report and the log.*\n'

const DETAILS_END = '\n\n</details>'

/** Appends to the step's summary file; nothing happens outside a workflow, where `path` is missing. Throws what the file system throws. */
export function appendSummary(path: string | undefined, markdown: string): void {
  if (!path) return
  const used = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  appendFileSync(path, fitSummary(`${markdown.trimEnd()}\n`, LARGEST_SUMMARY - used))
}

/** The text if it fits into so many bytes; else its beginning, cut at a line's end, and a note; '' if not even that fits. */
export function fitSummary(markdown: string, room: number): string {
  const bytes = Buffer.from(markdown)
  if (bytes.length <= room) return markdown
  const kept = room - Buffer.byteLength(CUT_NOTE) - DETAILS_END.length
  if (kept < 0) return ''
  // Of -1 it would look from the end.
  const end = kept > 0 ? bytes.lastIndexOf('\n', kept - 1) : 0
  const beginning = bytes.subarray(0, Math.max(end, 0)).toString()
  return beginning + closeDetails(beginning) + CUT_NOTE
}

/** Whatever follows an open `<details>` would be folded away with it. */
function closeDetails(markdown: string): string {
  return markdown.lastIndexOf('<details>') > markdown.lastIndexOf('</details>') ? DETAILS_END : ''
}
