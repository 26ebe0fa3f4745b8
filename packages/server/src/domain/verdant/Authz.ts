/** Whose an object is: base64 of `u:<user>:*`. It is the only form there is; without one, the object is everybody's. */
import { Option } from "effect"

/** How a client that was never given a user writes "mine". */
const ORIGINATOR = "$$_originator_$$"

/** The user; none when the text is no authorization. */
export const ownerOf = (authz: string): Option.Option<string> => {
  if (authz.length > 1024 || !/^[A-Za-z0-9+/]+={0,2}$/.test(authz)) return Option.none()
  const text = Buffer.from(authz, "base64").toString()
  const user = /^u:([^\p{C}]{1,200}):\*$/u.exec(text)?.[1]
  return user === undefined ? Option.none() : Option.some(user)
}

export const authzOf = (userId: string): string => Buffer.from(`u:${userId}:*`).toString("base64")

/** The same with a user's id where its client could not know it. */
export const withOriginator = (owner: string, userId: string): string => (owner === ORIGINATOR ? userId : owner)
