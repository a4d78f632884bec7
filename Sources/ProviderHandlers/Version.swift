/// The version both programs report; CHANGELOG.md says what it brought.
public let providerClientVersion = "0.1.0"
