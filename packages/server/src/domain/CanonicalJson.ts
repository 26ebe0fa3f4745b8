/** RFC 8785 canonical JSON: one text for one value, whatever order its keys came in. */
import canonicalize from "canonicalize"

export const canonicalJson = (value: object): string => canonicalize(value) as string
