% # Posts messages, each to its own origin and to no other; the browser delivers at most one.
% # The messages are in an attribute, where escaping is enough; the script itself never changes.
% rebase("base.tpl")
<p id="handover" data-messages="{{messages}}" data-closes="{{"yes" if closes else "no"}}">{{text}}</p>
<script nonce="{{nonce}}">
const { messages, closes } = document.getElementById("handover").dataset;
if (window.opener) {
  for (const [origin, message] of JSON.parse(messages)) window.opener.postMessage(message, origin);
  if (closes === "yes") window.close();
}
</script>
