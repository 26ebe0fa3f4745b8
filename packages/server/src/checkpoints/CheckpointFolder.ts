/**
 * A folder of checkpoints, outside of the reach of those who can change the database. It holds
 *
 * - `checkpoint`: the newest checkpoint, a signed note;
 * - `checkpoint-SIZE`: every checkpoint, by the number of its entries;
 * - `entries-FIRST.jsonl`: the entries that a checkpoint added, a line each, from the number of the first one on.
 *
 * An entry is the head that a stream had. A later entry of the same stream takes its place. Entries are never removed, so that each
 * tree continues the one before. One process writes to a folder.
 */
import { mkdir, open, readdir, readFile, rename } from "node:fs/promises"
import { join } from "node:path"
import { Effect, Schema } from "effect"
import { canonicalJson } from "../domain/CanonicalJson.ts"
import { errorText } from "../domain/errorText.ts"
import { leafHash, rootOf } from "./MerkleTree.ts"
import { checkpointText, openNote, parseCheckpoint, type Signer, signNote, type Verifier } from "./SignedNote.ts"

/** A folder cannot be read or written, or is not what the key has signed. */
export class CheckpointsUnusable extends Schema.TaggedError<CheckpointsUnusable>()("CheckpointsUnusable", {
  directory: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `The checkpoints in ${this.directory} cannot be used: ${this.detail}`
  }
}

const Entry = Schema.Struct({
  chain: Schema.String,
  libraryId: Schema.String,
  streamId: Schema.String,
  version: Schema.Finite
})
export type Entry = typeof Entry.Type

const decodeLine = Schema.decodeUnknownSync(Schema.fromJsonString(Entry))

export const leafOf = (entry: Entry): Buffer => leafHash(Buffer.from(canonicalJson(entry)))

export interface Checkpoints {
  /** The newest checkpoint; undefined if there is none yet. */
  readonly note: string | undefined
  readonly entries: ReadonlyArray<Entry>
  /** The leaf hashes of the entries. */
  readonly leaves: ReadonlyArray<Buffer>
}

const NEWEST = "checkpoint"
const ENTRIES = /^entries-(\d{16})\.jsonl$/
const entriesName = (first: number): string => `entries-${String(first).padStart(16, "0")}.jsonl`

/** Reads the folder, and checks the newest checkpoint's signature and that its root is that of the entries. */
export const readCheckpoints = (
  directory: string,
  verifier: Verifier
): Effect.Effect<Checkpoints, CheckpointsUnusable> =>
  attempt(directory, async () => {
    const names = await readdir(directory).catch(noneIfAbsent)
    if (!names.includes(NEWEST)) return { note: undefined, entries: [], leaves: [] }
    const note = await readFile(join(directory, NEWEST), "utf8")
    const text = openNote(note, verifier)
    if (text === undefined) throw new Error(`the newest checkpoint is not signed by ${verifier.text}`)
    const head = parseCheckpoint(text)
    if (head?.origin !== verifier.name) throw new Error("the newest checkpoint is of another log, or of none")
    const entries: Array<Entry> = []
    for (const name of names.filter((name) => ENTRIES.test(name)).toSorted()) {
      // A writer left it that ended before it wrote its checkpoint.
      if (entries.length === head.size) break
      if (Number(ENTRIES.exec(name)?.[1]) !== entries.length) throw new Error(`entry ${entries.length} is missing`)
      const lines = (await readFile(join(directory, name), "utf8")).trimEnd().split("\n")
      for (const line of lines) entries.push(decodeLine(line))
    }
    const leaves = entries.map(leafOf)
    if (leaves.length !== head.size || !rootOf(leaves).equals(head.root)) {
      throw new Error("the entries are not those of the newest checkpoint")
    }
    return { note, entries, leaves }
  })

/** Adds entries, at least one, and signs the checkpoint that covers all of them. Returns its note. */
export const addCheckpoint = (
  directory: string,
  { leaves }: Checkpoints,
  added: ReadonlyArray<Entry>,
  signer: Signer
): Effect.Effect<string, CheckpointsUnusable> =>
  attempt(directory, async () => {
    const all = [...leaves, ...added.map(leafOf)]
    const note = signNote(checkpointText({ origin: signer.name, size: all.length, root: rootOf(all) }), signer)
    const lines = added.map((entry) => `${canonicalJson(entry)}\n`).join("")
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await write(directory, entriesName(leaves.length), lines)
    await write(directory, `${NEWEST}-${all.length}`, note)
    await write(directory, NEWEST, note)
    return note
  })

const noneIfAbsent = (error: NodeJS.ErrnoException): ReadonlyArray<string> => {
  if (error.code === "ENOENT") return []
  throw error
}

/** Writes a file as a whole or not at all. It is on the disk when this returns. */
const write = async (directory: string, name: string, text: string): Promise<void> => {
  const unfinished = join(directory, `.${name}.part`)
  const file = await open(unfinished, "w")
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(unfinished, join(directory, name))
  const folder = await open(directory)
  await folder.sync().finally(() => folder.close())
}

const attempt = <A>(directory: string, run: () => Promise<A>): Effect.Effect<A, CheckpointsUnusable> =>
  Effect.tryPromise({
    try: run,
    catch: (cause) => new CheckpointsUnusable({ directory, detail: errorText(cause) })
  })
