/** One difference that a round trip makes in a healthy database. */
export interface DifferenceCase {
  name: string
  /** Everything of the case is in this schema. */
  schema: string
  /** The first major version that has such a thing. */
  since?: number
  /** Made in the source, with the schema as the search_path. */
  setup: string
  /** A query, with the schema as the search_path, that the source and its copy answer differently. */
  shows: string
  /** What is told of it, as notes (see `telling`); nothing by default. */
  notes?: readonly string[]
  /** A difference of the same kind that is none of a round trip, made in the copy, and all that must be found then. */
  real?: { change: string; found: readonly string[] }
}
