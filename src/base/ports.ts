/** Time, as an argument, so that tests own it. */
export interface Clock {
  now(): Date
  /** Resolves after `milliseconds`, or rejects with the signal's reason as soon as it is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>
}

/** Where the log lines go. Lines are plain text; the implementation makes them safe for its medium. */
export interface Log {
  info(line: string): void
  warning(line: string): void
  debug(line: string): void
  /** Runs `work` with its lines under one title. */
  group<T>(title: string, work: () => Promise<T>): Promise<T>
}

export const systemClock: Clock = {
  now: () => new Date(),
  sleep: (milliseconds, signal) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const aborted = () => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', aborted)
        resolve()
      }, milliseconds)
      signal?.addEventListener('abort', aborted, { once: true })
    }),
}

/** A log that keeps its lines, for tests and for tools that print later. */
export function memoryLog(lines: string[] = []): Log & { lines: string[] } {
  return {
    lines,
    info: (line) => void lines.push(line),
    warning: (line) => void lines.push(`warning: ${line}`),
    debug: (line) => void lines.push(`debug: ${line}`),
    group: (title, work) => {
      lines.push(title)
      return work()
    },
  }
}
