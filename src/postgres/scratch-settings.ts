import { statfs } from 'node:fs/promises'
import { totalmem } from 'node:os'

const MIB = 2 ** 20
const GIB = 2 ** 30

export interface MachineFacts {
  cores: number
  memoryBytes: number
  /** Free space where the data go. */
  freeBytes: number
  /** Free space of /dev/shm; 64 MiB in a container by default; undefined where there is none. */
  sharedMemoryBytes?: number | undefined
}

/** Looks at the machine; the memory limit of a container counts. */
export async function readMachine(directory: string, cores: number): Promise<MachineFacts> {
  const constrained = process.constrainedMemory()
  const memoryBytes = constrained > 0 ? Math.min(totalmem(), constrained) : totalmem()
  const [disk, shared] = await Promise.all([statfs(directory), statfs('/dev/shm').catch(() => undefined)])
  return {
    cores,
    memoryBytes,
    freeBytes: disk.bavail * disk.bsize,
    sharedMemoryBytes: shared && shared.bavail * shared.bsize,
  }
}

/**
 * Settings of a server whose data are thrown away: nothing is kept safe, nothing runs in the background, nothing
 * reaches out, and no row value or statement gets into the log.
 */
export function scratchSettings(machine: MachineFacts): Record<string, string> {
  const { cores, memoryBytes, freeBytes, sharedMemoryBytes } = machine
  // More than a gigabyte gains nothing here, and every TRUNCATE or DROP looks through all of it.
  const buffers = clamp(memoryBytes / 4, 128 * MIB, GIB)
  const maintenance = clamp(memoryBytes / 16 / cores, 64 * MIB, 512 * MIB)
  const wal = clamp(freeBytes / 8, GIB, 20 * GIB)
  return {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '100',
    // One transaction may lock every table, index and TOAST table of a database with thousands of them.
    max_locks_per_transaction: '1024',
    shared_buffers: megabytes(buffers),
    maintenance_work_mem: megabytes(maintenance),
    max_wal_size: megabytes(wal),
    max_parallel_maintenance_workers: '2',
    max_parallel_workers: String(Math.max(2, cores)),
    // A container's /dev/shm is too small for parallel index builds.
    ...(sharedMemoryBytes === undefined || sharedMemoryBytes < GIB / 2 ? { dynamic_shared_memory_type: 'mmap' } : {}),
    huge_pages: 'off',
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    wal_level: 'minimal',
    max_wal_senders: '0',
    archive_mode: 'off',
    checkpoint_timeout: '1h',
    autovacuum: 'off',
    jit: 'off',
    max_logical_replication_workers: '0',
    shared_preload_libraries: '',
    restart_after_crash: 'off',
    TimeZone: 'UTC',
    log_timezone: 'UTC',
    lc_messages: 'C',
    logging_collector: 'off',
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
  }
}

/** The lines of postgresql.conf for these settings. */
export function settingLines(settings: Record<string, string>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
    .join('')
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value))
}

function megabytes(bytes: number): string {
  return `${Math.floor(bytes / MIB)}MB`
}
