/** The users of things that a library does not hold any more, by their ids. The one that left first comes first. */
export type FormerOwners<Id> = ReadonlyMap<Id, string>

export interface FormerBounds {
  /** Few of one user, so that a user with very many does not displace those of others. */
  readonly ofUser: number
  readonly ofAll: number
}

/** Remembers those that leave, in this order. Above the bounds, the ones that left first are forgotten. */
export const withFormer = <Id>(
  before: FormerOwners<Id>,
  leaving: Iterable<readonly [Id, string]>,
  { ofAll, ofUser }: FormerBounds
): FormerOwners<Id> => {
  const all = new Map(before)
  for (const [id, userId] of leaving) {
    all.delete(id)
    all.set(id, userId)
  }
  const counts = new Map<string, number>()
  const kept: Array<readonly [Id, string]> = []
  for (const [id, userId] of Array.from(all).reverse()) {
    const count = counts.get(userId) ?? 0
    if (count >= ofUser) continue
    if (kept.length >= ofAll) break
    counts.set(userId, count + 1)
    kept.push([id, userId])
  }
  return new Map(kept.reverse())
}

export const withoutFormer = <Id>(former: FormerOwners<Id>, id: Id): FormerOwners<Id> => {
  if (!former.has(id)) return former
  const others = new Map(former)
  others.delete(id)
  return others
}
