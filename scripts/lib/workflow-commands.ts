/** A `::name key=value::data` line (or the older `##[name]data`) that a step wrote to its stdout or stderr. */
export interface WorkflowCommand {
  name: string
  properties: Record<string, string>
  data: string
}

export interface Annotation {
  level: 'error' | 'warning' | 'notice'
  message: string
  title?: string
}

const KNOWN_COMMANDS = new Set([
  ...['add-mask', 'add-matcher', 'add-path', 'debug', 'echo', 'endgroup', 'error', 'group', 'notice'],
  ...['remove-matcher', 'save-state', 'set-env', 'set-output', 'stop-commands', 'warning'],
])

const ANNOTATIONS_PER_LEVEL = 10
const ANNOTATION_LENGTH = 4096

/** The command in a line, if the runner would take the line for one. */
export function parseCommand(line: string, extra?: string): WorkflowCommand | undefined {
  const known = (name: string | undefined) => name !== undefined && (KNOWN_COMMANDS.has(name) || name === extra)
  const text = line.trimStart()
  const end = text.startsWith('::') ? text.indexOf('::', 2) : -1
  const head = text.slice(2, Math.max(end, 2))
  const name = head.split(' ', 1)[0]
  if (end > 0 && known(name)) return command(name ?? '', head.slice(name?.length).trim(), ',', text.slice(end + 2))
  const old = /##\[([a-z-]+)(?: ([^\]]*))?\](.*)$/s.exec(line)
  if (old && known(old[1])) return command(old[1] ?? '', old[2] ?? '', ';', old[3] ?? '')
  return undefined
}

function command(name: string, properties: string, separator: string, data: string): WorkflowCommand {
  const pairs = properties.split(separator).flatMap((pair) => {
    const at = pair.indexOf('=')
    return at > 0 ? [[pair.slice(0, at).trim(), unescapeText(pair.slice(at + 1))] as const] : []
  })
  return { name, properties: Object.fromEntries(pairs), data: unescapeText(data) }
}

function unescapeText(text: string): string {
  const characters: Record<string, string> = { '%0D': '\r', '%0A': '\n', '%3A': ':', '%2C': ',', '%25': '%' }
  return text.replaceAll(/%0D|%0A|%3A|%2C|%25/g, (code) => characters[code] ?? code)
}

/** Everything that must not be shown in a job: values, their lines, and the encodings that the runner knows too. */
export class Masks {
  readonly values = new Set<string>()

  add(value: string): void {
    for (const part of [value, ...value.split(/[\r\n]+/).map((line) => line.trim())]) {
      if (part === '') continue
      for (const variant of [part, encodeURIComponent(part), JSON.stringify(part).slice(1, -1), base64(part)]) {
        if (variant !== '') this.values.add(variant)
      }
    }
  }

  apply(text: string): string {
    let masked = text
    for (const value of [...this.values].sort((a, b) => b.length - a.length)) masked = masked.replaceAll(value, '***')
    return masked
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64').replaceAll('=', '')
}

/** Reads a step's lines as the runner does: obeys commands, masks the rest, and says what the log shows. */
export class CommandReader {
  readonly commands: WorkflowCommand[] = []
  readonly annotations: Annotation[] = []
  /** Pairs set by the deprecated stdout commands: they still work, which makes them a way to inject. */
  readonly outputs = new Map<string, string>()
  readonly state = new Map<string, string>()
  private readonly masks: Masks
  private stopToken: string | undefined

  constructor(masks: Masks) {
    this.masks = masks
  }

  /** The line as the job's log shows it, or undefined where it shows nothing. */
  read(line: string): string | undefined {
    const found = parseCommand(line, this.stopToken)
    if (this.stopToken !== undefined) {
      if (found?.name === this.stopToken) this.stopToken = undefined
      return this.masks.apply(line)
    }
    if (!found) return this.masks.apply(line)
    this.commands.push(found)
    return this.obey(found, line)
  }

  /** An annotation of the runner's own, or of a command; only so many are kept for each level. */
  annotate(level: Annotation['level'], message: string, title?: string): void {
    if (this.annotations.filter((annotation) => annotation.level === level).length >= ANNOTATIONS_PER_LEVEL) return
    const shown = this.masks.apply(message).slice(0, ANNOTATION_LENGTH)
    this.annotations.push({ level, message: shown, ...(title === undefined ? {} : { title: this.masks.apply(title) }) })
  }

  private obey({ name, properties, data }: WorkflowCommand, line: string): string | undefined {
    switch (name) {
      case 'add-mask':
        if (data.trim() === '')
          this.annotate('warning', "Can't add secret mask for empty string in ##[add-mask] command.")
        this.masks.add(data)
        return undefined
      case 'stop-commands':
        this.stopToken = data
        return this.masks.apply(line)
      case 'error':
      case 'warning':
      case 'notice':
        this.annotate(name, data, properties.title)
        return this.masks.apply(`##[${name}]${data}`)
      case 'group':
      case 'endgroup':
      case 'debug':
        return this.masks.apply(`##[${name}]${data}`)
      case 'set-output':
        this.outputs.set(properties.name ?? '', data)
        return undefined
      case 'save-state':
        this.state.set(properties.name ?? '', data)
        return undefined
      case 'set-env':
      case 'add-path':
        this.annotate('error', `The \`${name}\` command is disabled.`)
        return undefined
      default:
        return undefined
    }
  }
}
