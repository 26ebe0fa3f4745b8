/** Small disks of a test's own, which become full or refuse writes. They take the right to mount, and e2fsprogs. */
import { execFileSync } from "node:child_process"
import { closeSync, mkdtempSync, openSync, readFileSync, rmdirSync, rmSync, writeFileSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { Effect } from "effect"

/** The search path, with the folders in which Debian keeps programs for root. */
const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` }

const run = (program: string, ...args: ReadonlyArray<string>): string =>
  execFileSync(program, [...args], { env, encoding: "utf8" })

/** Mounts a file system in memory, and returns the way to unmount it. `size`: as in "24m". */
export const mountInMemory =
  (size: string) =>
  (folder: string): (() => void) => {
    run("mount", "-t", "tmpfs", "-o", `size=${size}`, "tmpfs", folder)
    return () => unmount(folder)
  }

const unmount = (folder: string): void => void run("umount", "--lazy", folder)

/** A folder that is a small file system, until the scope closes. */
export const smallDisk = (size: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const folder = mkdtempSync(join(tmpdir(), "sealog-disk-"))
      mountInMemory(size)(folder)
      return folder
    }),
    (folder) =>
      Effect.sync(() => {
        unmount(folder)
        rmSync(folder, { recursive: true, force: true })
      })
  )

/** Fills a file system to its last byte with a file, and returns the way to make the room free again. */
export const fill = (folder: string): (() => void) => {
  const filename = join(folder, "other")
  const file = openSync(filename, "w")
  const zeros = new Uint8Array(64 * 1024)
  try {
    for (let bytes = zeros; bytes.length > 0; ) {
      try {
        writeSync(file, bytes)
      } catch {
        bytes = bytes.subarray(0, bytes.length >> 1)
      }
    }
  } finally {
    closeSync(file)
  }
  return () => rmSync(filename)
}

export interface Ext4Disk {
  readonly folder: string
  /** Lets no process write to a file any more, also one that has it open; and lets them again. */
  readonly refuseWrites: (...filenames: ReadonlyArray<string>) => void
  readonly allowWrites: (...filenames: ReadonlyArray<string>) => void
  /** Makes an error of the disk, after which the kernel mounts it read-only, whatever is open on it. */
  readonly breakDown: () => void
  /** Mounts it again, after a check. No process may use it. */
  readonly repair: () => void
  /** Unmounts it, and removes its image. */
  readonly remove: () => void
}

/** Mounts an ext4 in an empty folder. Its image lies beside it. `size`: as in "64M". */
export const mountExt4 = (folder: string, size: string): Ext4Disk => {
  const image = `${folder}.image`
  run("truncate", "--size", size, image)
  run("mkfs.ext4", "-q", "-F", image)
  const mount = () => run("mount", "-o", "loop,errors=remount-ro", image, folder)
  mount()
  // Postgres takes no folder with anything in it.
  rmdirSync(join(folder, "lost+found"))
  const source = () =>
    basename(
      readFileSync("/proc/mounts", "utf8")
        .split("\n")
        .find((line) => line.split(" ")[1] === folder)!
        .split(" ")[0]!
    )
  return {
    folder,
    refuseWrites: (...filenames) => void run("chattr", "+i", ...filenames),
    allowWrites: (...filenames) => void run("chattr", "-i", ...filenames),
    breakDown: () => writeFileSync(`/sys/fs/ext4/${source()}/trigger_fs_error`, "1"),
    repair: () => {
      run("umount", folder)
      // It has found errors and mended them: exit code 1.
      run("sh", "-c", `e2fsck -fy ${image} 2>&1 || [ $? -eq 1 ]`)
      mount()
    },
    remove: () => {
      unmount(folder)
      rmSync(image)
    }
  }
}

/** A folder that is an ext4 of 64 MiB, until the scope closes. */
export const ext4Disk = Effect.acquireRelease(
  Effect.sync(() => mountExt4(mkdtempSync(join(tmpdir(), "sealog-disk-")), "64M")),
  ({ folder, remove }) =>
    Effect.sync(() => {
      remove()
      rmSync(folder, { recursive: true, force: true })
    })
)
