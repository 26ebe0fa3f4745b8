/** New clients join a large library one after the other; each stays connected. */
import { join } from "./verdantClient.ts"

export interface VerdantJoins {
  readonly url: string
  readonly token: string
  readonly clients: number
  /** Objects that each client must receive. */
  readonly objects: number
}

export interface VerdantJoinsDone {
  /** From connecting until a client has everything, milliseconds, in the order of joining. */
  readonly times: ReadonlyArray<number>
  /** Size of one answer. */
  readonly bytes: number
}

export const prepare =
  async (load: VerdantJoins): Promise<() => Promise<VerdantJoinsDone>> =>
  async () => {
    const times: Array<number> = []
    let bytes = 0
    for (let i = 0; i < load.clients; i++) {
      const joined = await join(load.url, load.token)
      times.push(joined.milliseconds)
      bytes = joined.bytes
      const { baselines, operations } = JSON.parse(joined.text)
      const oids = new Set([...baselines, ...operations].map(({ oid }: { readonly oid: string }) => oid))
      if (oids.size !== load.objects) throw new Error(`${oids.size} objects of ${load.objects}`)
    }
    return { times, bytes }
  }
