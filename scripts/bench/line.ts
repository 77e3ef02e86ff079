import { compare, summarize } from './statistics.ts'
import type { LineResult, Sample } from './types.ts'

export interface RatioLine {
  id: string
  what: string
  against: string
  atMost: number
  ours: readonly Sample[]
  baseline: readonly Sample[]
  /** What is compared, if it is a part of the run: by default the seconds, of the baseline always. */
  figure?: (sample: Sample) => number
}

/** A line whose target is a multiple of the baseline's time. */
export function ratioLine({ id, what, against, atMost, ...runs }: RatioLine): LineResult {
  const figure = runs.figure ?? (({ seconds }: Sample) => seconds)
  const ours = runs.ours.map(figure)
  const baseline = runs.baseline.map(({ seconds }) => seconds)
  const { ratio, min, max } = compare(ours, baseline)
  const cpuRatio = runs.figure ? undefined : compare(runs.ours.map(totalCpu), runs.baseline.map(totalCpu)).ratio
  const medians = { ours: summarize(ours).median, baseline: summarize(baseline).median }
  const values = { ...medians, ratio, min, max, ...(cpuRatio !== undefined && { cpuRatio }), atMost }
  return {
    id,
    what,
    against,
    target: `≤ ${atMost} ×`,
    ours: formatSeconds(values.ours),
    baseline: formatSeconds(values.baseline),
    result: `${ratio.toFixed(2)} ×`,
    spread: `${min.toFixed(2)}–${max.toFixed(2)}`,
    cpu: cpuRatio === undefined ? '–' : `${cpuRatio.toFixed(2)} ×`,
    verdict: ratio <= atMost ? 'met' : 'missed',
    values,
  }
}

function totalCpu({ cpuSeconds, serverCpuSeconds = 0 }: Sample): number {
  return cpuSeconds + serverCpuSeconds
}

export interface BoundLine {
  id: string
  what: string
  against?: string
  target: string
  /** In the unit that `format` writes. */
  values: readonly number[]
  atMost: number
  format: (value: number) => string
  /** Further figures for the JSON. */
  more?: Record<string, number>
}

/** A line whose target is a bound that even the worst round must keep. */
export function boundLine({ id, what, against = '–', target, values, atMost, format, more }: BoundLine): LineResult {
  const { median, min, max } = summarize(values)
  return {
    id,
    what,
    against,
    target,
    ours: format(median),
    baseline: '–',
    result: format(max),
    spread: `${format(min)}–${format(max)}`,
    cpu: '–',
    verdict: max <= atMost ? 'met' : 'missed',
    values: { median, min, max, atMost, ...more },
  }
}

/** A line whose feature no action has. */
export function missingLine(line: Pick<LineResult, 'id' | 'what' | 'against' | 'target'>): LineResult {
  return { ...line, ours: '–', baseline: '–', result: '–', spread: '–', cpu: '–', verdict: 'not there yet', values: {} }
}

export function formatSeconds(seconds: number): string {
  return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`
}

export function formatMebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`
}
