/** Tests are TypeScript modules, run as they are: swc only strips the types (tsc checks them in `npm run check`). */
export default {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2024', parser: { syntax: 'typescript' } }, module: { type: 'es6' } },
    ],
  },
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  maxWorkers: 2,
  // For a hopeless wait, not for a slow machine.
  testTimeout: 240_000,
  reporters: ['default', '<rootDir>/scripts/lib/no-skips-reporter.mjs'],
}
