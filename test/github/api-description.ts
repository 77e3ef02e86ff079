import { readFileSync } from 'node:fs'
import { Ajv, type ValidateFunction } from 'ajv'

/** GitHub's own description of the calls that we make; NOTICE.md says where it comes from. */
const FILES = ['github-issues-api', 'github-actions-api'].map(
  (name) => new URL(`${name}.openapi.json`, import.meta.url),
)

type Json = Record<string, unknown>

interface Parameter {
  name: string
  in: 'path' | 'query'
  schema: Json
}

interface RawOperation {
  operationId: string
  parameters?: (Parameter | { $ref: string })[]
  requestBody?: { content: Record<string, { schema: Json }> }
  responses: Record<string, { content?: Record<string, { schema: Json }>; $ref?: string }>
}

interface Description {
  paths: Record<string, Record<string, RawOperation>>
  components: { parameters: Record<string, Parameter>; responses: Record<string, RawOperation['responses'][string]> }
}

/** One call that the description knows, with the values in its path. */
export interface Call {
  operationId: string
  path: Record<string, string>
  /** What the description has against a request; keys that it does not name count, though GitHub ignores them. */
  requestProblems(query: URLSearchParams, body: unknown): string[]
  /** What it has against an answer: ours. */
  responseProblems(status: number, body: unknown): string[]
}

type LookUp = (method: string, path: string) => Call | undefined

/** Looks up calls in the description, which is cut into a file for each kind of things. */
export function readDescription(): LookUp {
  const parts = FILES.map(readPart)
  return (method, path) => {
    for (const lookUp of parts) {
      const call = lookUp(method, path)
      if (call !== undefined) return call
    }
    return undefined
  }
}

function readPart(file: URL): LookUp {
  const description = asJsonSchema(JSON.parse(readFileSync(file, 'utf8'))) as Description
  const ajv = new Ajv({ strict: false, allErrors: true })
  ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)
  ajv.addFormat('uri', /^https?:\/\/\S+$/)
  for (const format of ['email', 'int64']) ajv.addFormat(format, true)
  ajv.addSchema(description, 'api')
  const compiled = new Map<string, ValidateFunction>()
  const problems = (pointer: string, value: unknown) => {
    const validate = compiled.get(pointer) ?? ajv.compile({ $ref: `api#${pointer}` })
    compiled.set(pointer, validate)
    return validate(value) ? [] : (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message}`)
  }
  return (method, path) => {
    for (const [template, operations] of Object.entries(description.paths)) {
      const values = matchPath(template, path)
      const raw = operations[method.toLowerCase()]
      if (values === undefined || raw === undefined) continue
      const pointer = `/paths/${escapePointer(template)}/${method.toLowerCase()}`
      return callOf(raw, { pointer, values, description, problems })
    }
    return undefined
  }
}

interface Context {
  pointer: string
  values: Record<string, string>
  description: Description
  problems: (pointer: string, value: unknown) => string[]
}

function callOf(raw: RawOperation, { pointer, values, description, problems }: Context): Call {
  const parameters = (raw.parameters ?? []).map((parameter) =>
    '$ref' in parameter ? (description.components.parameters[lastOf(parameter.$ref)] as Parameter) : parameter,
  )
  const parameterProblems = (where: Parameter['in'], name: string, text: string) => {
    const parameter = parameters.find((known) => known.in === where && known.name === name)
    if (parameter === undefined) return [`no ${where} parameter ${name}`]
    const { type, enum: values } = parameter.schema as { type?: string; enum?: string[] }
    if (type === 'integer' && !/^\d+$/.test(text)) return [`${name} is no integer: ${text}`]
    if (type === 'boolean' && !/^(true|false)$/.test(text)) return [`${name} is no boolean: ${text}`]
    return values !== undefined && !values.includes(text) ? [`${name} cannot be ${text}`] : []
  }
  return {
    operationId: raw.operationId,
    path: values,
    requestProblems: (query, body) => [
      ...Object.entries(values).flatMap(([name, text]) => parameterProblems('path', name, text)),
      ...[...query].flatMap(([name, text]) => parameterProblems('query', name, text)),
      ...bodyProblems(raw, `${pointer}/requestBody/content/application~1json/schema`, body, problems),
    ],
    responseProblems: (status, body) => {
      const response = raw.responses[String(status)]
      // The description leaves out some of the statuses that every call may have.
      if (response === undefined) return status >= 400 ? [] : [`no answer ${status}`]
      const place = response.$ref?.slice(1) ?? `${pointer}/responses/${status}`
      return problems(`${place}/content/application~1json/schema`, body)
    },
  }
}

function bodyProblems(raw: RawOperation, pointer: string, body: unknown, problems: Context['problems']): string[] {
  const schema = raw.requestBody?.content['application/json']?.schema
  if (schema === undefined) return body === undefined ? [] : ['a body where none belongs']
  const known = [schema, ...((schema.oneOf ?? []) as Json[])].flatMap(({ properties }) => Object.keys(properties ?? {}))
  const unknown = Object.keys((body ?? {}) as Json).filter((key) => !known.includes(key))
  return [...unknown.map((key) => `no key ${key} in the body`), ...problems(pointer, body)]
}

/** OpenAPI 3.0 says `nullable`, also where it says no type; JSON Schema says so by a type. */
function asJsonSchema(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asJsonSchema)
  if (value === null || typeof value !== 'object') return value
  const { nullable, ...rest } = Object.fromEntries(
    Object.entries(value).map(([key, entry]) => [key, asJsonSchema(entry)]),
  )
  if (nullable !== true) return rest
  if (typeof rest.type !== 'string') return { anyOf: [rest, { type: 'null' }] }
  const { type, enum: values } = rest as { type: string; enum?: unknown[] }
  return { ...rest, type: [type, 'null'], ...(values !== undefined && { enum: [...new Set([...values, null])] }) }
}

function matchPath(template: string, path: string): Record<string, string> | undefined {
  const pattern = template.replaceAll(/\{(\w+)\}/g, '(?<$1>[^/]+)')
  const groups = new RegExp(`^${pattern}$`).exec(path)?.groups
  return groups && Object.fromEntries(Object.entries(groups).map(([name, text]) => [name, decodeURIComponent(text)]))
}

function escapePointer(text: string): string {
  return encodeURIComponent(text.replaceAll('~', '~0').replaceAll('/', '~1'))
}

function lastOf(reference: string): string {
  return reference.split('/').at(-1) ?? ''
}
