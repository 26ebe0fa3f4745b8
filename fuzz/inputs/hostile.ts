/** Values and texts on which parsers have failed before. */
import fc from "fast-check"
import type { Random } from "../../test/support/random.ts"
import { chance, oneOf } from "./choose.ts"

const nested = (depth: number, open: string, close: string): string => open.repeat(depth) + close.repeat(depth)

/** JSON texts of values, also of some that no `JSON.stringify` makes. */
const JSON_TEXTS: ReadonlyArray<string> = [
  ...["null", "true", "false", '""', "[]", "{}", "0", "-0", "-1", "0.5", "1e308", "1e999", "-1e999", "1e-400"],
  ...["9007199254740991", "9007199254740993", "18446744073709551616", "2147483648", "4294967295"],
  ...['"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\u2028"', '"\\uFFFF"', '"\u00e9"', '"\u{1F600}"'],
  ...['"__proto__"', '"constructor"', '"toString"', '"length"', '"@server"', '"@verdant"', '".."', '"/"', '"%"'],
  ...['{"__proto__":{"polluted":true}}', '{"constructor":{"prototype":1}}', '{"toJSON":1}', '{"length":-1}'],
  ...['{"@@type":"ref","id":"item/1"}', '{"@@type":"ref","id":7}', '{"@@type":"file","id":null}', '{"@@type":"ref"}'],
  ...['"zzzzzzzzzzzzzzzzzzzzzzzz"', '"0000000000000000000000000"', '"000100000000000000000000"', '"item/1:2"', '"//"'],
  ...[nested(40, "[", "]"), nested(300, '{"a":[', "]}"), nested(20_000, "[", "]"), `[${"1,".repeat(5000)}1]`],
  ...[`"${"x".repeat(70_000)}"`, `"${"x".repeat(200)}"`, `"${"x".repeat(201)}"`]
]

const anyJson = fc.json({ maxDepth: 4 })
const anyText = fc.string({ unit: "binary", maxLength: 40 })

/** The JSON text of a hostile value, or of a random one. */
export const hostileJson = (random: Random): string =>
  chance(random, 70) ? oneOf(random, JSON_TEXTS) : sample(anyJson, random)

/** A text for places that are not JSON: a header, a part of a URL, a column. */
export const hostileText = (random: Random): string => {
  if (chance(random, 50)) return sample(anyText, random)
  const text = oneOf(random, JSON_TEXTS)
  return text.startsWith('"') ? String(JSON.parse(text)) : text
}

export const sample = <A>(arbitrary: fc.Arbitrary<A>, random: Random): A =>
  fc.sample(arbitrary, { seed: random.next(2 ** 31), numRuns: 1 })[0] as A
