/** Deeds that change what a library and its clients may do. */
import { forgetKeys, resetQuota, resume, revoke, setQuota, suspend } from "@sealog/server/admin"
import type { Administration } from "../Administration.ts"
import type { LogDeeds } from "./LogDeeds.ts"

export const access = ({
  onKnown
}: LogDeeds): Pick<Administration, "suspend" | "resume" | "revoke" | "forgetKeys" | "setQuota"> => ({
  suspend: (libraryId, { by, ...change }) => onKnown(libraryId, suspend(libraryId, by), change),
  resume: (libraryId, { by, ...change }) => onKnown(libraryId, resume(libraryId, by), change),
  revoke: (revocation, { by, ...change }) => onKnown(revocation.libraryId, revoke(revocation, by), change),
  forgetKeys: (libraryId, userId, { by }) => onKnown(libraryId, forgetKeys(libraryId, userId, by)),
  setQuota: (libraryId, quota, { by, ...change }) =>
    onKnown(libraryId, quota === "default" ? resetQuota(libraryId, by) : setQuota(libraryId, quota, by), change)
})
