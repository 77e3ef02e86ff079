import { TestEnvironment } from 'jest-environment-node'

/**
 * Jest gives each test file an `Error` of its own, which errors from Node itself are no instances of. Libraries that
 * ask for `instanceof Error`, the AWS SDK among them, then treat a refused connection as no error at all. Here `Error`
 * is Node's, as it is in production.
 */
export default class NodeErrorsEnvironment extends TestEnvironment {
  constructor(...args) {
    super(...args)
    this.global.Error = Error
  }
}
