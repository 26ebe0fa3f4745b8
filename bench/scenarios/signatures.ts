/** The floor: how many signatures of an update's size one core verifies, by implementation. */
import { createPublicKey, verify } from "node:crypto"
import { setImmediate as nextTurn } from "node:timers/promises"
import { loadImplementations, sodium } from "#server/domain/sodium"
import { makeVerifierPool } from "#server/signatures/VerifierPool"
import { verifyWith } from "#server/signatures/verifySignature"
import { eachRound, inTurns, type Scenario } from "../harness/scenario.ts"
import { signedUpdate, verifiedPerSecond } from "../harness/signatures.ts"

/** OpenSSL's, with a new key object per signature, because most authors write seldom. It decides edge cases differently. */
const nodeCrypto = verifyWith({
  ...sodium,
  verifyDetached: (signature, message, key) => {
    const x = Buffer.from(key).toString("base64url")
    return verify(null, message, createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" }), signature)
  }
})

/** Verifies on one thread beside this one, with enough batches to keep it busy. */
const pooledPerSecond = async (milliseconds: number): Promise<number> => {
  const pool = makeVerifierPool(1)
  const batch = Array.from({ length: 64 }, signedUpdate)
  let verified = 0
  let start = performance.now()
  const keepBusy = (): Promise<void> =>
    new Promise((resolve) => {
      const again = () => {
        if (performance.now() - start > milliseconds) return resolve()
        pool.verify(batch, (genuine) => {
          verified += genuine.length
          again()
        })
      }
      again()
    })
  // Keeps the start of the thread out of the measurement.
  await new Promise<void>((resolve) => pool.verify(batch, () => resolve()))
  await nextTurn()
  start = performance.now()
  await Promise.all([keepBusy(), keepBusy(), keepBusy()])
  const seconds = (performance.now() - start) / 1000
  await pool.close()
  return verified / seconds
}

export const scenario: Scenario = {
  title: "Signatures verified by one core",
  keys: ["implementation"],
  rounds: eachRound(async (bench) => {
    const milliseconds = bench.seconds * 1000
    const rates: Readonly<Record<string, () => number | Promise<number>>> = {
      ...Object.fromEntries(
        Object.entries(await loadImplementations()).map(([name, implementation]) => [
          name,
          () => verifiedPerSecond(milliseconds, verifyWith(implementation))
        ])
      ),
      "node:crypto": () => verifiedPerSecond(milliseconds, nodeCrypto),
      "one thread of the pool": () => pooledPerSecond(milliseconds)
    }
    const variants = Object.keys(rates).map((implementation) => ({ implementation }))
    return inTurns(bench, variants, async ({ implementation }) => ({
      implementation,
      "verified/s": await rates[implementation]!()
    }))
  })
}
