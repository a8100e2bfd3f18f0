import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  base: "/static/",
  // Nothing is copied beside the built files: the templates are Django's.
  publicDir: false,
  resolve: { alias: { "@": here("./src") } },
  build: {
    outDir: "dist",
    manifest: "manifest.json",
    // light-dark() and nesting stay as they are: see docs/decisions/0004-css-base.md.
    target: ["chrome123", "firefox121", "safari17.5"],
    rollupOptions: { input: ["src/main.ts", "src/task.ts", "src/run.ts", "src/datasets.ts", "src/environment.ts", "src/styles/published.css", "src/manage.ts"] },
  },
  server: { fs: { allow: [".."] } },
  test: {
    dir: here("../tests/frontend"),
    include: ["**/*.test.ts"],
    globals: true,
    environment: "happy-dom",
  },
});
