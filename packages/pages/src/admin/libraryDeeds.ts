/** The deeds about a library or one of its documents, each by the API. */
import { type Answers, part, post } from "./api.ts"
import { type Deed, reasonOf } from "./deeds.tsx"
import { bytes, count } from "./format.ts"

type Changed = { readonly changed: boolean }
type Deleted = Answers["Deleted"]

const pathOf = (libraryId: string) => `/libraries/${part(libraryId)}`

const VERDANT = "@verdant"

/** "2 documents and Verdant data, 3.1 MB, and 2 files of 4 MB". */
const sizeOf = ({ documents }: Deleted): string => {
  const sum = (field: "payloadBytes" | "files" | "fileBytes") => documents.reduce((all, one) => all + one[field], 0)
  const secsync = documents.filter(({ documentId }) => documentId !== VERDANT).length
  const names = [
    ...(secsync > 0 ? [count(secsync, "document")] : []),
    ...(documents.length > secsync ? ["the Verdant data"] : [])
  ]
  const files = sum("files") === 0 ? "" : `, and ${count(sum("files"), "file")} of ${bytes(sum("fileBytes"))}`
  return names.length === 0 ? "nothing" : `${names.join(" and ")}, ${bytes(sum("payloadBytes"))}${files}`
}

export const suspendDeed = (libraryId: string): Deed => ({
  title: `Suspend ${libraryId}`,
  text: "Closes the library to all clients until it is resumed. Nothing is deleted, and clients keep what they have.",
  action: "Suspend",
  run: async (values) => {
    const { changed } = await post<Changed>(`${pathOf(libraryId)}/suspend`, reasonOf(values))
    return changed ? `Suspended ${libraryId}.` : `${libraryId} was suspended before.`
  }
})

export const resumeDeed = (libraryId: string): Deed => ({
  title: `Resume ${libraryId}`,
  text: "Opens the library again. Its clients reconnect by themselves.",
  action: "Resume",
  run: async (values) => {
    const { changed } = await post<Changed>(`${pathOf(libraryId)}/resume`, reasonOf(values))
    return changed ? `Resumed ${libraryId}.` : `${libraryId} was not suspended.`
  }
})

export const revokeDeed = (libraryId: string): Deed => ({
  title: `Revoke tokens of ${libraryId}`,
  text: "Servers disconnect their clients within a second, and refuse the tokens from then on. Without a user or a token, all tokens of the library that were issued until now end.",
  action: "Revoke",
  isDangerous: true,
  fields: [
    { name: "userId", label: "User", hint: "all tokens of this user" },
    { name: "tokenId", label: "Token", hint: "id of one token (jti)" }
  ],
  run: async ({ tokenId, userId, ...values }) => {
    if (tokenId && userId) throw new Error("Name either a user or a token.")
    const whose = userId ? { userId } : tokenId ? { tokenId } : { all: true }
    const { changed } = await post<Changed>(`${pathOf(libraryId)}/revoke`, { whose, ...reasonOf(values) })
    const named = userId ? `every token of ${userId}` : tokenId ? `token ${tokenId}` : "every token"
    return `${changed ? "Revoked" : "Revoked before:"} ${named} in ${libraryId}.`
  }
})

export const quotaDeed = (libraryId: string, quota: Answers["QuotaDetails"]["quota"]): Deed => ({
  title: `Quota of ${libraryId}`,
  text: "A library that has reached its quota takes no more, and goes on with reads and deletions. An empty field is the server's own. Sizes are in bytes.",
  action: "Set quota",
  fields: QUOTA_PARTS.map(([name, label]) => ({
    ...{ name, label, type: "number" as const, value: String(quota[name] ?? ""), hint: "server's" }
  })),
  run: async ({ reason = "", ...values }) => {
    const wanted = Object.entries(values).filter(([, value]) => value !== "")
    const isLess = Object.keys(quota).some((name) => !values[name])
    const path = `${pathOf(libraryId)}/quota`
    // The API sets parts. To give one back to the server, all are given back, and the others are set again.
    const cleared = isLess && (await post<Changed>(path, { quota: "default", ...reasonOf({ reason }) })).changed
    const parts = Object.fromEntries(wanted.map(([name, value]) => [name, Number(value)]))
    const isSet = wanted.length > 0 && (await post<Changed>(path, { quota: parts, ...reasonOf({ reason }) })).changed
    return cleared || isSet ? `Set the quota of ${libraryId}.` : "This quota was set before."
  }
})

export const QUOTA_PARTS = [
  ["objects", "Objects"],
  ["operations", "Operations"],
  ["bytes", "Verdant bytes"],
  ["replicas", "Replicas"],
  ["files", "Files"],
  ["fileBytes", "File bytes"],
  ["documents", "Documents"],
  ["documentBytes", "Bytes of a document"],
  ["documentAuthors", "Authors of a document"],
  ["events", "Events"],
  ["payloadBytes", "Payload bytes"]
] as const

export const evictDeed = (libraryId: string, documentId?: string): Deed => {
  const target = documentId === undefined ? {} : { documentId }
  const name = documentId ?? libraryId
  const path = `${pathOf(libraryId)}/evict`
  return {
    title: `Evict ${name}`,
    text: "Deletes the payloads from the server, and keeps the events. A client that has the content restores it: connected ones at once, others when they return. Content that no client has is lost.",
    action: "Evict",
    isDangerous: true,
    hasReason: false,
    plan: async () => `This concerns ${sizeOf(await post<Deleted>(path, { ...target, dryRun: true }))}.`,
    run: async () => {
      const evicted = await post<Deleted>(path, target)
      return evicted.documents.length === 0 ? `Nothing to evict in ${name}.` : `Evicted ${sizeOf(evicted)}.`
    }
  }
}

export const deleteDeed = (libraryId: string, documentId?: string): Deed => {
  const target = documentId === undefined ? {} : { documentId }
  const name = documentId ?? libraryId
  const path = `${pathOf(libraryId)}/delete`
  return {
    title: `Delete ${name} for good`,
    text: "Deletes payloads and files. No client can bring them back, and servers refuse the name until it is allowed again. Events stay, with ids, times and hashes.",
    action: "Delete for good",
    isDangerous: true,
    typed: name,
    plan: async () => `This concerns ${sizeOf(await post<Deleted>(path, { ...target, dryRun: true }))}.`,
    run: async (values) => {
      const deleted = await post<Deleted>(path, { ...target, ...reasonOf(values) })
      return `Deleted ${name} for good: ${sizeOf(deleted)}.`
    }
  }
}

export const allowAgainDeed = (libraryId: string, documentId?: string): Deed => ({
  title: `Allow ${documentId ?? libraryId} again`,
  text: "Clients can make a library or a document of this name again. The deleted content does not come back.",
  action: "Allow again",
  run: async (values) => {
    const target = documentId === undefined ? {} : { documentId }
    await post<Changed>(`${pathOf(libraryId)}/allow-again`, { ...target, ...reasonOf(values) })
    return `Clients can make ${documentId ?? libraryId} again.`
  }
})

export const truantDeed = (libraryId: string, replicaId: string, userId: string): Deed => ({
  title: `Stop waiting for a replica of ${userId}`,
  text: `Marks the replica ${replicaId} as truant. If it returns and lacks operations that were compacted, the server resets it, and changes that it never sent are lost.`,
  action: "Mark as truant",
  isDangerous: true,
  hasReason: false,
  run: async () => {
    const { changed } = await post<Changed>(`${pathOf(libraryId)}/replicas/${part(replicaId)}/truant`, {})
    return changed ? `${replicaId} is truant.` : `${replicaId} was marked as truant before.`
  }
})
