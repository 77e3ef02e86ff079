import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { data, Evaluator, Lexer, Parser } from '@actions/expressions'
import { convertWorkflowTemplate, NoOperationTraceWriter, parseWorkflow } from '@actions/workflow-parser'
import { parse } from 'yaml'
import { ROOT } from '../../scripts/lib/run.ts'

export interface Step {
  id?: string
  name?: string
  if?: string
  uses?: string
  run?: string
  with?: Record<string, unknown>
  env?: Record<string, unknown>
}

export interface Job {
  if?: string
  needs?: string | string[]
  permissions?: Record<string, string>
  'timeout-minutes'?: unknown
  'runs-on'?: string
  steps: Step[]
  env?: unknown
}

export interface Workflow {
  /** Where it stands, for messages. */
  file: string
  text: string
  on: Record<string, unknown> & { schedule?: { cron: string }[] }
  permissions?: unknown
  concurrency?: unknown
  env?: unknown
  jobs: Record<string, Job>
}

/** A workflow from its text. */
export function readWorkflow(file: string, text: string): Workflow {
  return { ...parse(text), file, text }
}

/** All workflows of this repository. */
export function projectWorkflows(): Workflow[] {
  const folder = '.github/workflows'
  return readdirSync(join(ROOT, folder)).map((name) =>
    readWorkflow(`${folder}/${name}`, readFileSync(join(ROOT, folder, name), 'utf8')),
  )
}

/** The workflows that a Markdown file shows: its YAML blocks that have jobs. */
export function documentedWorkflows(file: string): Workflow[] {
  const blocks = readFileSync(join(ROOT, file), 'utf8').matchAll(/^```ya?ml\n([\s\S]*?)^```/gm)
  return [...blocks]
    .map(([, text = '']) => text)
    .filter((text) => /^jobs:/m.test(text))
    .map((text, index) => readWorkflow(`${file}, workflow ${index + 1}`, text))
}

/** What GitHub's own parser has to say against a workflow: schema, expressions, cron, ids, needs. */
export async function parserErrors({ file, text }: Workflow): Promise<string[]> {
  const { context, value } = parseWorkflow({ name: file, content: text }, new NoOperationTraceWriter())
  if (value !== undefined) await convertWorkflowTemplate(context, value)
  return context.errors.getErrors().map(({ message }) => message)
}

/** The folder of the action that a step uses, if it is one of ours: `./action-dump` or `your-org/pg-lifeboat/action-dump@…`. */
export function ownAction(uses: string | undefined): string | undefined {
  const folder = /^(?:\.|your-org\/pg-lifeboat)\/(action-[a-z-]+)(?:@|$)/.exec(uses ?? '')?.[1]
  return folder !== undefined && existsSync(join(ROOT, folder, 'action.yml')) ? folder : undefined
}

type Contexts = Record<string, unknown>

/** Whether an `if:` lets its job or step run, as GitHub decides it; `failed` and `cancelled` tell what came before. */
export function runs(condition: string | undefined, contexts: Contexts, before: 'ok' | 'failed' | 'cancelled' = 'ok') {
  const text = String(condition ?? 'true').replace(/^\s*\$\{\{([\s\S]*)\}\}\s*$/, '$1')
  const names = ['success', 'failure', 'cancelled', 'always']
  const asksForStatus = names.some((name) => new RegExp(`\\b${name}\\(`).test(text))
  if (!asksForStatus && before !== 'ok') return false
  const status: Record<string, boolean> = {
    success: before === 'ok',
    failure: before === 'failed',
    cancelled: before === 'cancelled',
    always: true,
  }
  const functions = names.map((name) => ({
    name,
    minArgs: 0,
    maxArgs: 0,
    call: () => new data.BooleanData(status[name] === true),
  }))
  const { tokens } = new Lexer(text).lex()
  const expression = new Parser(tokens, Object.keys(contexts), functions).parse()
  const context = dictionary(contexts)
  const result = new Evaluator(expression, context, new Map(functions.map((f) => [f.name, f]))).evaluate()
  return result.coerceString() === 'true'
}

function dictionary(value: Contexts): data.Dictionary {
  return new data.Dictionary(
    ...Object.entries(value).map(([key, entry]) => ({
      key,
      value:
        typeof entry === 'object' && entry !== null
          ? dictionary(entry as Contexts)
          : new data.StringData(String(entry)),
    })),
  )
}
