/** libsodium, as secsync takes it. */
import libsodium from "libsodium-wrappers"

export type Sodium = typeof import("libsodium-wrappers")

export const loadSodium = async (): Promise<Sodium> => {
  await libsodium.ready
  // The types of secsync name the whole module, of which the functions are the default export.
  return libsodium as unknown as Sodium
}
