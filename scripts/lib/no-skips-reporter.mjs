/** Makes a run fail in which a test was skipped: what was not run must not look green. */
export default class NoSkipsReporter {
  #skipped = []
  #someWereChosen

  constructor(globalConfig) {
    // With --testNamePattern the rest is left out on purpose.
    this.#someWereChosen = Boolean(globalConfig.testNamePattern)
  }

  onTestFileResult(_test, { testResults, testFilePath }) {
    if (this.#someWereChosen) return
    for (const { status, fullName } of testResults) {
      if (status === 'pending' || status === 'skipped' || status === 'todo' || status === 'disabled') {
        this.#skipped.push(`${testFilePath}: ${fullName}`)
      }
    }
  }

  onRunComplete() {
    for (const name of this.#skipped) console.error(`skipped, which is not allowed: ${name}`)
  }

  getLastError() {
    return this.#skipped.length === 0 ? undefined : new Error(`${this.#skipped.length} tests were skipped`)
  }
}
