/** The damage of a log as findings of `doctor`: one for each stream, with its versions and what an operator can do. */
import type { Problem } from "@sealog/server/admin"
import type { Finding } from "@sealog/server/storage"

/** Versions of a stream that are named. */
const MAX_VERSIONS = 20

export const damageFindings = ({
  problemCount,
  problems
}: {
  readonly problems: ReadonlyArray<Problem>
  readonly problemCount: number
}): ReadonlyArray<Finding> => {
  const streams = Map.groupBy(problems, ({ libraryId, streamId }) => `${libraryId}/${streamId}`)
  const findings = Array.from(streams, ([name, found]): Finding => {
    const kinds = Map.groupBy(found, ({ problem }) => problem)
    const detail = Array.from(kinds, ([kind, all]) => `${kind} at ${versions(all)}`).join("; ")
    return { check: "damage", state: "fail", detail: `${name}: ${detail}`, tryThis: adviceFor(found) }
  })
  if (problemCount === problems.length) return findings
  const more = `${problemCount - problems.length} more problems, which are not named`
  return [...findings, { check: "damage", state: "fail", detail: more, tryThis: BACKUP }]
}

const versions = (found: ReadonlyArray<Problem>): string => {
  const named = [...new Set(found.map(({ version }) => version))]
  const more = named.length - MAX_VERSIONS
  const text = named.slice(0, MAX_VERSIONS).join(", ")
  return `version${named.length === 1 ? "" : "s"} ${text}${more > 0 ? ` and ${more} more` : ""}`
}

const BACKUP = "put a backup back to another file or database, and run `sync-admin doctor` on it (docs/damage.md)"

/** A client can bring back payloads. Nothing brings back the events, or what the server alone has written. */
const adviceFor = (found: ReadonlyArray<Problem>): string => {
  const [{ libraryId, streamId }] = found as [Problem]
  const isContent = streamId === "@verdant" || !streamId.startsWith("@")
  const isPayload = found.every(({ problem }) => problem === "payload-changed" || problem === "payload-missing")
  if (!isContent || !isPayload) return BACKUP
  const document = streamId === "@verdant" ? "" : ` --document ${JSON.stringify(streamId)}`
  return `\`sync-admin evict ${libraryId}${document}\`, and its clients bring back what they hold; or a backup (docs/damage.md)`
}
