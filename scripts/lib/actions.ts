/** The actions' folders and the entries that their bundles are built from, in the order in which a user meets them. */
export const ACTIONS = ['dump', 'verify', 'restore-test'].map((name) => ({
  name,
  folder: `action-${name}`,
  entry: `src/actions/${name}.ts`,
}))
