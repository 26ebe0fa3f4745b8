/** The address that a client's connections and requests count for. */
import { BlockList, isIP } from "node:net"
import { Result, Schema } from "effect"

/** An entry of `trustedProxies` is not an address or a range of addresses. */
export class InvalidTrustedProxy extends Schema.TaggedError<InvalidTrustedProxy>()("InvalidTrustedProxy", {
  entry: Schema.String
}) {
  override get message(): string {
    return `The trusted proxy "${this.entry}" is neither an IP address nor a range in CIDR notation, such as 10.0.0.0/8`
  }
}

/** The proxies whose X-Forwarded-For is believed. */
export interface TrustedProxies {
  readonly trusts: (address: string) => boolean
}

export const parseTrustedProxies = (
  entries: ReadonlyArray<string>
): Result.Result<TrustedProxies, InvalidTrustedProxy> => {
  const list = new BlockList()
  for (const entry of entries) {
    const [, address = "", prefix] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(entry.trim()) ?? []
    const family = familyOf(address)
    const bits = family === "ipv6" ? 128 : 32
    if (family === undefined || Number(prefix ?? bits) > bits) return Result.fail(new InvalidTrustedProxy({ entry }))
    list.addSubnet(address, Number(prefix ?? bits), family)
  }
  return Result.succeed({
    trusts: (address) => {
      const family = familyOf(address)
      return family !== undefined && list.check(address, family)
    }
  })
}

const familyOf = (address: string): "ipv4" | "ipv6" | undefined => {
  const version = isIP(address)
  return version === 0 ? undefined : version === 4 ? "ipv4" : "ipv6"
}

/**
 * The client's address behind a trusted proxy: the right-most entry of X-Forwarded-For that is no trusted proxy. Entries
 * further left may be made up by the client. undefined: the proxy names none.
 */
export const forwardedClient = (header: string | undefined, { trusts }: TrustedProxies): string | undefined => {
  const entries = header?.split(",") ?? []
  for (const entry of entries.toReversed()) {
    const address = plainAddress(entry)
    if (address === undefined) return undefined
    if (!trusts(address)) return address
  }
  return undefined
}

/** An address without a port, brackets or zone; an IPv4 address that is written as IPv6 in the form of IPv4. */
export const plainAddress = (text: string): string | undefined => {
  const trimmed = text.trim()
  const bare = /^\[(.*)\](?::\d+)?$/.exec(trimmed)?.[1] ?? /^([\d.]+):\d+$/.exec(trimmed)?.[1] ?? trimmed
  const address = bare.replace(/%.*$/, "").replace(/^::ffff:(?=[\d.]+$)/i, "")
  return isIP(address) === 0 ? undefined : address
}

/** The network that counts as one client: an IPv4 address, or the /64 of an IPv6 address, of which a client has all. */
export const networkOf = (address: string): string => {
  if (isIP(address) !== 6) return address
  const [start = "", end] = address.split("::")
  const [first, last] = [groupsOf(start), end === undefined ? [] : groupsOf(end)]
  const groups = [...first, ...Array.from({ length: 8 - first.length - last.length }, () => 0), ...last]
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(":")}::/64`
}

const groupsOf = (text: string): ReadonlyArray<number> =>
  text === "" ? [] : text.split(":").flatMap((group) => (group.includes(".") ? [0, 0] : [Number.parseInt(group, 16)]))
