// The type of `request.context`, which users extend by declaration merging. It stands alone because that reaches through
// `export *`, and through no export by name.

/**
 * What handlers, middleware and subscribers to diagnostics keep about one request: `request.context`. Empty until
 * somebody writes to it. Declare what yours holds:
 * `declare module "@x/mist" { interface RequestContext { user?: string } }`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: users declare its members
export interface RequestContext {}
