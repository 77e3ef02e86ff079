/**
 * Text as lines that a runner prints and does not obey. It scans stdout and stderr for commands: `::name` at a line's
 * beginning, also behind white space, and the older `##[name]` anywhere (actions/runner, ActionCommand.cs). A carriage
 * return ends a line for it too. Control characters, which would repaint a terminal, are dropped.
 */
export function safeLines(text: string): string[] {
  return text.split(/\r\n|\r|\n/).map(makeSafe)
}

function makeSafe(line: string): string {
  return line
    .replaceAll(/[\p{Cc}\u2028\u2029]/gu, (character) => (character === '\t' ? ' ' : ''))
    .replace(/^(\s*):(?=:)/, '$1: ')
    .replaceAll('##[', '## [')
}
