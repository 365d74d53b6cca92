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
    // What ends a test that hangs. Far more than any needs: tests start real servers, and machines are shared.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
