import { InputError, LifeboatError, messageOf } from '../base/errors.ts'
import type { Verdict } from '../base/findings.ts'
import { collectGarbageLessOften } from '../base/garbage.ts'
import { actionsRunner } from './actions-runner.ts'
import type { Runner } from './runner.ts'

/** How long a cancelled run may tidy up. The runner kills the process tree 10 s after the first signal. */
const TIDY_MILLISECONDS = 6_000

export interface Steps {
  /** The action. Only the verdict `passed` lets the step succeed. */
  main(runner: Runner): Promise<Verdict>
  /** Tidies up after main, however that ended. Whatever goes wrong here is a warning: the work is done or has failed already. */
  post?(runner: Runner): Promise<void>
}

/**
 * Runs an action, main or post as the runner asks, and ends the process: 0 for the verdict `passed` and for every post
 * step, else 1. What is thrown becomes annotations that say what to do, with a stack only for defects and only in debug
 * output. Ends explicitly, since a stray socket would keep the step alive, and fails when the event loop runs empty
 * before the work is through, which Node would call a success.
 */
export async function runMain(name: string, steps: Steps): Promise<void> {
  collectGarbageLessOften()
  const runner = actionsRunner(process.env)
  let ended = false
  const end = (code: number) => {
    ended = true
    process.stdout.write('', () => process.exit(code))
  }
  const fail = (error: unknown) => {
    if (ended) return
    reportFailure(runner, name, error)
    end(runner.isPost ? 0 : 1)
  }
  process.exitCode = runner.isPost ? 0 : 1
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)
  process.once('beforeExit', () => fail(new Error('the work stopped without an end')))
  runner.cancelled.addEventListener('abort', () => setTimeout(() => fail(runner.cancelled.reason), TIDY_MILLISECONDS))
  try {
    const verdict = runner.isPost ? await steps.post?.(runner) : await steps.main(runner)
    end(runner.isPost || verdict === 'passed' ? 0 : 1)
  } catch (error) {
    fail(error)
  }
}

/** Tells the user what was thrown: an annotation per wrong input, one for anything else; warnings in a post step. */
export function reportFailure(runner: Runner, name: string, error: unknown): void {
  const level = runner.isPost ? 'warning' : 'error'
  if (error instanceof InputError) {
    for (const line of error.message.split('\n')) runner.annotate(level, `${name}: input`, line)
    runner.log.info(`→ ${error.remedy}`)
  } else if (error instanceof LifeboatError) {
    runner.annotate(level, name, `${error.message}\n→ ${error.remedy}`)
  } else {
    runner.annotate(
      level,
      name,
      `${messageOf(error)}\n→ This is a defect in pg-lifeboat: please report it with the log.`,
    )
    runner.log.debug(error instanceof Error ? (error.stack ?? '') : String(error))
  }
}
