import type { Plugin } from 'vite'

/** What {@link isopod} does to a build. */
export interface IsopodOptions {
  /**
   * The server bundle carries its packages, with the quickest entry of each framework. Default: `true`. Without it
   * packages stay in `node_modules`, which must lie beside the build where it runs.
   */
  selfContained?: boolean
  /** Packages that stay in `node_modules` all the same. Default: none. */
  external?: string[]
  /** Write `isopod.json` beside `client/` and `server/`. Default: `true`. */
  manifest?: boolean
  /** Write `.br`, `.gz` and, with Node 22.15 or newer, `.zst` variants of the client's files. Default: `true`. */
  precompress?: boolean
  /**
   * Build and serve an app without Start: one whose `src/server.*` exports a render pipeline. Default: `true`, which
   * does nothing in an app without such an entry, or whose framework builds it by itself.
   */
  pages?: boolean
  /** That app's entries, from its root. Default: `src/server.*` and `src/client.*`. */
  entries?: { server?: string; client?: string }
  /** The fn workers whose functions the app calls; several where functions live in several programs. Default: none. */
  native?: NativeWorker | NativeWorker[]
}

/** A program on top of the crate `fn-workers`. */
export interface NativeWorker {
  /**
   * Its path, or the command that runs it, such as `cargo run --quiet --package worker --`; from the app's root. It is
   * run with `--emit-types` before the app is built, and runs beside `vite dev`, which sends it what the app calls.
   * Without it the types that are there are taken as they are.
   */
  worker?: string
  /** Files and directories, from the app's root: `vite dev` starts the worker anew when one changes. Default: none. */
  watch?: string | string[]
  /** Where its types are written, from the app's root. Default: `src/native.d.ts`. */
  types?: string
}

/** `isopod.json`: what the build knows of itself. */
export interface Manifest {
  /** The version of this layout. */
  format: 1
  /** The app's route patterns in TanStack's syntax, such as `/threads/$id`. */
  routes: string[]
  /** The server functions that need no JavaScript: native functions by the ids that their clients call. */
  functions: { base: string; direct: Record<string, string> }
  /** Client files whose names hold their content's hash, from the app's directory. */
  immutable: string[]
  /** Source maps of the server bundle, from the app's directory. */
  sourceMaps: string[]
  /** The versions of the packages that the app names. */
  packages: Record<string, string>
}

/**
 * Vite plugin: what a plain build lacks to be served best by Isopod. Put it last:
 *
 * ```ts
 * export default defineConfig({ plugins: [tanstackStart(), viteReact(), isopod()] })
 * ```
 *
 * @throws {TypeError} at an option that is none
 */
export function isopod(options?: IsopodOptions): Plugin[]
