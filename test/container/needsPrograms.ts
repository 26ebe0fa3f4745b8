import { requirePrograms } from "../system/Binary.ts"

/** Throws if the image cannot be built and run here, and says what is missing. */
export const requireContainerTools = (path?: string, user = process.getuid?.()): void => {
  requirePrograms(path, { git: "git", debootstrap: "debootstrap", buildah: "buildah", runc: "runc" })
  if (user !== 0)
    throw new Error("These tests build and run an image, for which debootstrap, buildah and runc need root.")
}

export default () => requireContainerTools()
