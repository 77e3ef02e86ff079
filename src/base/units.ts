const DURATION_UNITS: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 }
const SIZE_UNITS: Record<string, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
}

/** Seconds of `15m`, `24h`, `30d`, `1h30m`; undefined if the text is none of these. */
export function parseDuration(text: string): number | undefined {
  const compact = text.replaceAll(' ', '')
  if (!/^(\d+(\.\d+)?[smhdw])+$/.test(compact)) return undefined
  let seconds = 0
  for (const [, amount, , unit] of compact.matchAll(/(\d+(\.\d+)?)([smhdw])/g)) {
    seconds += Number(amount) * (DURATION_UNITS[unit ?? 's'] ?? 1)
  }
  return seconds
}

/** Bytes of `512MiB`, `1GiB`, `200MB`; undefined if the text is none of these. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([KMGT]?i?B)$/i.exec(text.trim())
  const factor = match?.[2] === undefined ? undefined : SIZE_UNITS[match[2].toUpperCase()]
  return match && factor !== undefined ? Math.round(Number(match[1]) * factor) : undefined
}

/** The fraction that `20%` stands for (0.2); undefined if the text is no percentage. */
export function parsePercentage(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?%$/.exec(text.trim())
  return match ? Number(match[1]) / 100 : undefined
}

/** `3.2 s`, `4 min 05 s`, `2 h 10 min`, `9 d 4 h`. */
export function formatDuration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 60) return `${Math.round(seconds)} s`
  const whole = Math.round(seconds)
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`
  if (whole < 2 * 86_400) return `${Math.floor(whole / 3_600)} h ${Math.round((whole % 3_600) / 60)} min`
  return `${Math.floor(whole / 86_400)} d ${Math.round((whole % 86_400) / 3_600)} h`
}

/** `2026-11-22 02:17 UTC`. */
export function formatInstant(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

/** `512 B`, `3.4 MiB`, `1.2 GiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024
    unit += 1
  }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(1)} ${units[unit]}`
}

/** `200,341`: the same in every locale. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+(?!\d))/g, ',')
}
