// AssemblyScript kernel of the content fingerprint; fingerprint.ts says what is computed and drives it.
//
// For every line, without its line end, two 64-bit hashes are taken of one XXH64 state (seed 0): the first through
// XXH64's own finaliser, the second through another one. Each is summed modulo 2^64, so the order of lines is irrelevant.
// XXH64: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
//
// The kernel keeps nothing of its own between two calls: everything that has to last is in STATE, which the caller copies
// in before a call and out after it. So one instance serves any number of fingerprints, one call at a time.
//
// Build: node scripts/build-wasm.mjs

const P1: u64 = 0x9E3779B185EBCA87
const P2: u64 = 0xC2B2AE3D27D4EB4F
const P3: u64 = 0x165667B19E3779F9
const P4: u64 = 0x85EBCA77C2B2AE63
const P5: u64 = 0x27D4EB2F165667C5

export const INPUT_BYTES: i32 = 262144
export const STATE_BYTES: i32 = 120

const INPUT: usize = memory.data(262144, 16)
const STATE: usize = memory.data(120, 16)

export function input(): usize { return INPUT }
export function state(): usize { return STATE }

// STATE, by byte offset: u64 rows, u64 sum of first hashes, u64 sum of second hashes, u64 bytes of the unfinished line so
// far, four u64 lanes of its XXH64 state, and the up to 31 bytes of it that have not entered the lanes yet. Then of CopyData
// messages: u64 bytes of their payloads so far, u32 bytes left of the present one, and u32 how many bytes of an unfinished
// header there are, and those.
const ROWS: usize = 0
const SUM1: usize = 8
const SUM2: usize = 16
const LENGTH: usize = 24
const LANES: usize = 32
const TAIL: usize = 64
const COPIED: usize = 96
const PAYLOAD: usize = 104
const HEADER_LENGTH: usize = 108
const HEADER: usize = 112

const COPY_DATA: u8 = 0x64

@inline function rotl(x: u64, r: u64): u64 { return (x << r) | (x >> (64 - r)) }
@inline function round(lane: u64, word: u64): u64 { return rotl(lane + word * P2, 31) * P1 }
@inline function merge(h: u64, lane: u64): u64 { return (h ^ round(0, lane)) * P1 + P4 }

@inline function converge(a: u64, b: u64, c: u64, d: u64): u64 {
  const h = rotl(a, 1) + rotl(b, 7) + rotl(c, 12) + rotl(d, 18)
  return merge(merge(merge(merge(h, a), b), c), d)
}

@inline function finish1(h: u64): u64 {
  h ^= h >> 33; h *= P2; h ^= h >> 29; h *= P3; h ^= h >> 32
  return h
}

@inline function finish2(h: u64): u64 {
  h += P3
  h ^= h >> 31; h *= 0xFF51AFD7ED558CCD; h ^= h >> 33; h *= 0xC4CEB9FE1A85EC53; h ^= h >> 33
  return h
}

// Mixes in the last up to 31 bytes [p, end) and counts the line.
@inline function endLine(h: u64, p: usize, end: usize): void {
  while (p + 8 <= end) { h ^= round(0, load<u64>(p)); h = rotl(h, 27) * P1 + P4; p += 8 }
  if (p + 4 <= end) { h ^= (load<u32>(p) as u64) * P1; h = rotl(h, 23) * P2 + P3; p += 4 }
  while (p < end) { h ^= (load<u8>(p) as u64) * P5; h = rotl(h, 11) * P1; p++ }
  store<u64>(STATE, load<u64>(STATE, SUM1) + finish1(h), SUM1)
  store<u64>(STATE, load<u64>(STATE, SUM2) + finish2(h), SUM2)
  store<u64>(STATE, load<u64>(STATE, ROWS) + 1, ROWS)
}

// A line that lies in the input as a whole.
function hashLine(p: usize, end: usize): void {
  const length = (end - p) as u64
  let h: u64
  if (length >= 32) {
    let a: u64 = P1 + P2, b: u64 = P2, c: u64 = 0, d: u64 = 0 - P1
    const limit = end - 32
    do {
      a = round(a, load<u64>(p)); b = round(b, load<u64>(p, 8)); c = round(c, load<u64>(p, 16)); d = round(d, load<u64>(p, 24))
      p += 32
    } while (p <= limit)
    h = converge(a, b, c, d)
  } else h = P5
  endLine(h + length, p, end)
}

// Takes [p, end) into the unfinished line.
function feed(p: usize, end: usize): void {
  if (p == end) return
  const before = load<u64>(STATE, LENGTH)
  const used = (before & 31) as usize
  store<u64>(STATE, before + ((end - p) as u64), LENGTH)
  if (before == 0) {
    store<u64>(STATE, P1 + P2, LANES); store<u64>(STATE, P2, LANES + 8)
    store<u64>(STATE, 0, LANES + 16); store<u64>(STATE, 0 - P1, LANES + 24)
  }
  if (used + (end - p) < 32) { memory.copy(STATE + TAIL + used, p, end - p); return }
  let a = load<u64>(STATE, LANES), b = load<u64>(STATE, LANES + 8)
  let c = load<u64>(STATE, LANES + 16), d = load<u64>(STATE, LANES + 24)
  if (used > 0) {
    const tail = STATE + TAIL
    memory.copy(tail + used, p, 32 - used)
    p += 32 - used
    a = round(a, load<u64>(tail)); b = round(b, load<u64>(tail, 8)); c = round(c, load<u64>(tail, 16)); d = round(d, load<u64>(tail, 24))
  }
  while (p + 32 <= end) {
    a = round(a, load<u64>(p)); b = round(b, load<u64>(p, 8)); c = round(c, load<u64>(p, 16)); d = round(d, load<u64>(p, 24))
    p += 32
  }
  store<u64>(STATE, a, LANES); store<u64>(STATE, b, LANES + 8)
  store<u64>(STATE, c, LANES + 16); store<u64>(STATE, d, LANES + 24)
  memory.copy(STATE + TAIL, p, end - p)
}

function endFedLine(): void {
  const length = load<u64>(STATE, LENGTH)
  const h = length >= 32
    ? converge(load<u64>(STATE, LANES), load<u64>(STATE, LANES + 8), load<u64>(STATE, LANES + 16), load<u64>(STATE, LANES + 24))
    : P5
  const tail = STATE + TAIL
  endLine(h + length, tail, tail + ((length & 31) as usize))
  store<u64>(STATE, 0, LENGTH)
}

// Where the next line feed is, or `end`.
function findNewline(p: usize, end: usize): usize {
  const newline = i8x16.splat(10)
  while (p + 16 <= end) {
    const mask = i8x16.bitmask(i8x16.eq(v128.load(p), newline))
    if (mask != 0) return p + (ctz(mask) as usize)
    p += 16
  }
  while (p < end && load<u8>(p) != 10) p++
  return p
}

// Takes the first `length` bytes of INPUT.
export function update(length: i32): void {
  take(INPUT, INPUT + (length as usize))
}

// Takes the payloads of the CopyData messages in the first `length` bytes of INPUT, which go on where the last call ended.
// Returns where a message of another kind begins, or `length`.
export function updateMessages(length: i32): i32 {
  const end = INPUT + (length as usize)
  let p = INPUT
  while (p < end) {
    const left = load<u32>(STATE, PAYLOAD) as usize
    if (left > 0) {
      const to = min(p + left, end)
      take(p, to)
      store<u64>(STATE, load<u64>(STATE, COPIED) + ((to - p) as u64), COPIED)
      store<u32>(STATE, (left - (to - p)) as u32, PAYLOAD)
      p = to
      continue
    }
    const got = load<u32>(STATE, HEADER_LENGTH)
    if (got == 0) {
      if (load<u8>(p) != COPY_DATA) break
      if (p + 5 <= end) {
        store<u32>(STATE, bswap<u32>(load<u32>(p, 1)) - 4, PAYLOAD)
        p += 5
        continue
      }
    }
    store<u8>(STATE + HEADER + got, load<u8>(p))
    p++
    if (got == 4) store<u32>(STATE, bswap<u32>(load<u32>(STATE, HEADER + 1)) - 4, PAYLOAD)
    store<u32>(STATE, got == 4 ? 0 : got + 1, HEADER_LENGTH)
  }
  return (p - INPUT) as i32
}

function take(from: usize, end: usize): void {
  let start = from
  let p = from
  if (load<u64>(STATE, LENGTH) != 0) {
    p = findNewline(p, end)
    feed(start, p)
    if (p == end) return
    endFedLine()
    start = ++p
  }
  const newline = i8x16.splat(10)
  while (p + 16 <= end) {
    let mask = i8x16.bitmask(i8x16.eq(v128.load(p), newline))
    while (mask != 0) {
      const at = p + (ctz(mask) as usize)
      hashLine(start, at)
      start = at + 1
      mask &= mask - 1
    }
    p += 16
  }
  while (p < end) {
    if (load<u8>(p) == 10) { hashLine(start, p); start = p + 1 }
    p++
  }
  feed(start, end)
}
