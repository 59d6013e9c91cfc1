const WHOLE_SET =
  "the real provider pairs old and new elements of a set by their hash and names what differs within; here the set as a whole is named. " +
  "Only the text of a preview depends on it.";
const LIST_ORDER = "the real provider names two elements that changed places; here the list is named";

/** Recorded cases that the stand-in does not meet, each with its reason. A test fails when one of them is met after all. */
export const UNMET: Readonly<Record<string, string>> = {
  "Firewall diff details: applyTos changed (full)": WHOLE_SET,
  "Firewall diff details: rules[0].sourceIps one removed (full)": WHOLE_SET,
  "Firewall diff details: rules[0].direction changed (full)": WHOLE_SET,
  "Server diff details: publicNets changed (full)": WHOLE_SET,
  "Server diff details: publicNets[0].ipv4 changed (full)": WHOLE_SET,
  "Server diff details: sshKeys reversed (full)": LIST_ORDER,
  "Server diff details: networks[0].ip changed (full)": WHOLE_SET,
  "Server diff details: networks[0].aliasIps removed (full)": WHOLE_SET,
  "Server diff details: networks[0].aliasIps one added (full)": WHOLE_SET,
  "Server diff details: networks[0].networkId changed (full)": WHOLE_SET,
  "Server diff details: networks[0].networkId unknown (full)": WHOLE_SET,
};
