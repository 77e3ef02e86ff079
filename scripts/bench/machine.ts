import { execFileSync } from 'node:child_process'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import type { Workbench } from './workbench.ts'

/** What the figures were measured on; nothing that names the machine or a place on it. */
export interface Machine {
  cores: number
  processor: string
  memoryGiB: number
  kernel: string
  postgres: string
  node: string
  zstd: string
  age: string
}

/** Describes this machine. */
export function describeMachine({ tools }: Workbench): Machine {
  return {
    cores: availableParallelism(),
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release().replace(/-.*/, ''),
    postgres: tools.version,
    node: process.versions.node,
    zstd: versionOf('zstd'),
    age: versionOf('age'),
  }
}

/** In one sentence. */
export function machineSentence(machine: Machine): string {
  const { cores, processor, memoryGiB, kernel, postgres, node, zstd, age } = machine
  const programs = `PostgreSQL ${postgres}, Node ${node}, zstd ${zstd}, age ${age}`
  return `${cores} cores (${processor}), ${memoryGiB} GiB of memory, Linux ${kernel}; ${programs}.`
}

function versionOf(program: string): string {
  const output = execFileSync(program, ['--version'], { encoding: 'utf8' })
  return /\d+(\.\d+)+/.exec(output)?.[0] ?? 'of an unknown version'
}
