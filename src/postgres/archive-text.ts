import type { Toc } from './toc-types.ts'

/** The encodings of servers that a TextDecoder knows under another name (https://encoding.spec.whatwg.org/#names-and-labels). */
const LABELS: Record<string, string> = {
  EUC_CN: 'gbk',
  EUC_JP: 'euc-jp',
  EUC_KR: 'euc-kr',
  ISO_8859_5: 'iso-8859-5',
  ISO_8859_6: 'iso-8859-6',
  ISO_8859_7: 'iso-8859-7',
  ISO_8859_8: 'iso-8859-8',
  KOI8R: 'koi8-r',
  KOI8U: 'koi8-u',
  LATIN2: 'iso-8859-2',
  LATIN3: 'iso-8859-3',
  LATIN4: 'iso-8859-4',
  LATIN5: 'windows-1254',
  LATIN6: 'iso-8859-10',
  LATIN7: 'iso-8859-13',
  LATIN8: 'iso-8859-14',
  LATIN9: 'iso-8859-15',
  LATIN10: 'iso-8859-16',
  WIN866: 'ibm866',
  WIN874: 'windows-874',
  WIN1250: 'windows-1250',
  WIN1251: 'windows-1251',
  WIN1252: 'windows-1252',
  WIN1253: 'windows-1253',
  WIN1254: 'windows-1254',
  WIN1255: 'windows-1255',
  WIN1256: 'windows-1256',
  WIN1257: 'windows-1257',
  WIN1258: 'windows-1258',
}

/**
 * Turns text of the archive as it was parsed into the text that it is: an archive has the names of things in the encoding
 * that its ENCODING entry tells. In SQL_ASCII they are read as UTF-8, as the inventory reads them; for encodings that
 * nothing here knows the text stays as it is.
 */
export function archiveText(toc: Toc): (text: string) => string {
  const defn = toc.entries.find(({ desc }) => desc === 'ENCODING')?.defn ?? ''
  const encoding = /'([A-Za-z0-9_]+)'/.exec(defn)?.[1]?.toUpperCase() ?? 'UTF8'
  const decode = encoding === 'UTF8' ? undefined : decoderOf(encoding)
  return decode ? (text) => decode(Buffer.from(text, toc.textEncoding)) : (text) => text
}

/** Reads bytes that are text in one of the server's encodings, by its name there; undefined where nothing here knows it. */
export function decoderOf(encoding: string): ((bytes: Buffer) => string) | undefined {
  if (encoding === 'UTF8' || encoding === 'SQL_ASCII') return (bytes) => bytes.toString('utf8')
  if (encoding === 'LATIN1') return (bytes) => bytes.toString('latin1')
  const label = LABELS[encoding]
  if (label === undefined) return undefined
  const decoder = new TextDecoder(label)
  return (bytes) => decoder.decode(bytes)
}
