import { InputError, type InputProblem, LifeboatError } from '../base/errors.ts'
import { parseDuration, parsePercentage, parseSize } from '../base/units.ts'

/** Where inputs come from and where secrets go to be hidden; a Runner is one. */
export interface InputSource {
  /** The input's value, trimmed; '' when it is missing. */
  input(name: string): string
  mask(secret: string): void
}

/** What a value must look like, and how to say so. */
export interface Shape {
  matches: (value: string) => boolean
  /** A clause that says what is wrong: `is not a storage URL`. */
  problem: string
  /** What is accepted, with an example. */
  accepted: string
}

/**
 * Reads all inputs of an action. `read` asks for every one of them; only then are the problems thrown, all in one
 * InputError, so that nobody has to mend one input per run.
 */
export async function readInputs<T>(source: InputSource, read: (inputs: InputReader) => T): Promise<T> {
  const reader = new InputReader(source)
  const values = read(reader)
  await reader.settled()
  if (reader.problems.length > 0) throw new InputError(reader.problems)
  return values
}

/**
 * Typed access to the inputs. A method that finds a problem notes it and returns a value of the right type, which
 * nobody will use. An empty input is a missing one: GitHub passes both alike.
 */
export class InputReader {
  readonly problems: InputProblem[] = []
  readonly #source: InputSource
  readonly #examinations: Promise<void>[] = []

  constructor(source: InputSource) {
    this.#source = source
  }

  /** Resolves when everything that is being examined has come to its end. */
  async settled(): Promise<void> {
    await Promise.all(this.#examinations)
  }

  /** Notes a problem. `given` is left out for whatever may be secret. */
  reject(input: string, problem: string, accepted: string, given?: string): void {
    this.problems.push({ input, problem, accepted, ...(given !== undefined && { given }) })
  }

  optional(name: string, shape?: Shape): string | undefined {
    const value = this.#source.input(name)
    if (value === '') return undefined
    if (shape && !shape.matches(value)) this.reject(name, shape.problem, shape.accepted, value)
    return value
  }

  required(name: string, shape: Shape): string {
    const value = this.optional(name, shape)
    if (value === undefined) this.reject(name, 'is missing', shape.accepted)
    return value ?? ''
  }

  /** A whole number; undefined when it is missing. */
  integer(name: string, min: number, max: number): number | undefined {
    const value = this.optional(name)
    if (value === undefined) return undefined
    const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
    if (!(number >= min && number <= max)) {
      this.reject(name, 'is out of range or no whole number', `a whole number from ${min} to ${max}`, value)
    }
    return number
  }

  oneOf<const T extends string>(name: string, values: readonly [T, ...T[]], fallback: T): T {
    const value = this.optional(name) ?? fallback
    const found = values.find((candidate) => candidate === value)
    if (found === undefined) this.reject(name, 'is none of the known values', values.join(', '), value)
    return found ?? fallback
  }

  /** Seconds; `fallback` is written as a user would write it. Zero is refused unless `zero` is set. */
  duration(name: string, fallback: string, { zero = false } = {}): number {
    const accepted = `a duration such as ${fallback} (units: s, m, h, d, w)${zero ? ', or 0s' : ', more than 0'}`
    return this.#measure(name, fallback, parseDuration, 'is not a duration', accepted, zero ? 0 : Number.MIN_VALUE)
  }

  /** Bytes; `fallback` is written as a user would write it. */
  size(name: string, fallback: string, smallest: string): number {
    const accepted = `a size such as ${fallback} (units: KiB, MiB, GiB, TiB, KB, MB, GB, TB), at least ${smallest}`
    return this.#measure(name, fallback, parseSize, 'is not a size, or too small', accepted, parseSize(smallest) ?? 0)
  }

  /** A fraction: 0.2 for `20%`. */
  percentage(name: string, fallback: string): number {
    const accepted = `a percentage such as ${fallback}`
    return this.#measure(name, fallback, parsePercentage, 'is not a percentage', accepted, 0)
  }

  #measure(
    name: string,
    fallback: string,
    parse: (text: string) => number | undefined,
    problem: string,
    accepted: string,
    min: number,
  ): number {
    const value = this.optional(name) ?? fallback
    const measure = parse(value)
    if (measure === undefined || measure < min) this.reject(name, problem, accepted, value)
    return measure ?? 0
  }

  boolean(name: string, fallback: boolean): boolean {
    return this.oneOf(name, ['true', 'false'], fallback ? 'true' : 'false') === 'true'
  }

  /** Values between commas or line ends, in their order, none twice; a comma inside double quotes belongs to the value. */
  list(name: string): string[] {
    const value = this.optional(name) ?? ''
    if (value.split('"').length % 2 === 0) {
      this.reject(name, 'has an opening double quote without a closing one', 'names with quotes in pairs', value)
    }
    const parts = value.match(/(?:"[^"]*"|[^",\n])+/g) ?? []
    return [...new Set(parts.map((part) => part.trim()).filter((part) => part !== ''))]
  }

  /** The lines that say something: blank ones and those that begin with `#` are left out. */
  multiline(name: string): string[] {
    return linesOf(this.optional(name) ?? '')
  }

  /** A secret as it was given, masked before anything else is done with it; its problems never show it. */
  secretText(name: string): string | undefined {
    const value = this.#source.input(name)
    if (value === '') return undefined
    this.#source.mask(value)
    return value
  }

  /**
   * Notes the expected failure that `work` ends with, at once or, where it takes a library to be loaded, before `settled`
   * resolves; its message begins with the name of what is wrong.
   */
  examine(work: () => unknown, accepted: string): void {
    const note = (error: unknown) => {
      if (!(error instanceof LifeboatError)) throw error
      const [input = '', ...problem] = error.message.split(' ')
      this.problems.push({ input, problem: problem.join(' '), accepted, remedy: error.remedy })
    }
    try {
      const result = work()
      if (result instanceof Promise) this.#examinations.push(result.then(() => undefined, note))
    } catch (error) {
      note(error)
    }
  }

  /** What `parse` makes of the text, or undefined where that throws: whatever the error says, it may quote a secret. */
  parsed<T>(name: string, text: string | undefined, parse: (text: string) => T, wrong: Omit<Shape, 'matches'>) {
    if (text === undefined) return undefined
    try {
      return parse(text)
    } catch {
      this.reject(name, wrong.problem, wrong.accepted)
      return undefined
    }
  }
}

/** The lines of a text that say something. */
export function linesOf(text: string): string[] {
  return text
    .split(/\r\n|\r|\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}
