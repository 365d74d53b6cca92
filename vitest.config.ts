import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["**/*.test.ts"],
    exclude: ["**/node_modules/**", "dist/**", ".shopmesh/**"],
    globalSetup: ["testing/global-setup.ts"],
    // Processes rather than threads: tests start servers and send signals. Two, for two cores: a third would only make
    // the others' waits for real servers longer.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 60_000,
  },
});
