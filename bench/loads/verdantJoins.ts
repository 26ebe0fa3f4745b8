/** New clients join a library that holds much, one after the other; each stays. */
import { join } from "./verdantClient.ts"

export interface VerdantJoins {
  readonly url: string
  readonly token: string
  readonly clients: number
  /** That a client must have been given. */
  readonly objects: number
}

export interface VerdantJoinsDone {
  /** From connecting to having everything, milliseconds, in their order. */
  readonly times: ReadonlyArray<number>
  /** Of one answer. */
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
