import { describeStanding, type ProgressView } from '../base/progress.ts'

/** What is drawn on: `process.stdout`, where that is a terminal. */
export interface Terminal {
  readonly columns?: number
  write(text: string): unknown
}

/** Nothing is drawn for a phase that is over at once. */
const FIRST_SECONDS = 1
/** What `describeStanding` says can take 70 columns. */
const WIDE_COLUMNS = 100
const DEFAULT_COLUMNS = 80
/** Back to the line's beginning, and empty from here to its end (ECMA-48). */
const EMPTY = '\r\u001b[K'

/** The last line of a terminal, drawn over and over. Whoever prints something else clears it first. */
export class StatusLine {
  readonly #terminal: Terminal
  #shown = ''

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  get columns(): number {
    return this.#terminal.columns || DEFAULT_COLUMNS
  }

  /** `text` without line ends; cut to the width of the terminal, for a line that wraps cannot be drawn over. */
  draw(text: string): void {
    const shown = [...text].slice(0, this.columns - 1).join('')
    if (shown === this.#shown) return
    this.#terminal.write(EMPTY + shown)
    this.#shown = shown
  }

  clear(): void {
    if (this.#shown === '') return
    this.#terminal.write(EMPTY)
    this.#shown = ''
  }
}

/** Whether lines can be drawn over there: never in the log of a job, which keeps every one of them. */
export function isTerminal({ isTTY }: { isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean {
  return isTTY === true && env.GITHUB_ACTIONS !== 'true' && env.TERM !== 'dumb'
}

/** A bar where the share is known, and what `describeStanding` says. Gone when the phase ends. */
export function progressBar(line: StatusLine): ProgressView {
  return {
    everyMilliseconds: 200,
    show(standing) {
      if (standing.seconds < FIRST_SECONDS) return
      const { share } = standing
      const width = line.columns < WIDE_COLUMNS ? 8 : 24
      const done = Math.round(((share ?? 0) * width) / 100)
      const bar = share === undefined ? '' : `${'█'.repeat(done)}${'░'.repeat(width - done)}  `
      line.draw(bar + describeStanding(standing))
    },
    end: () => line.clear(),
  }
}
