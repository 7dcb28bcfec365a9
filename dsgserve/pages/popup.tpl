% # Posts a message to the viewer that opened this window, and to no other origin, then closes the window.
% # The message is in an attribute, where escaping is enough; the script itself never changes.
% rebase("base.tpl")
<p id="message" data-origin="{{origin}}" data-message="{{message}}">{{text}}</p>
<script nonce="{{nonce}}">
const { origin, message } = document.getElementById("message").dataset;
if (window.opener) {
  window.opener.postMessage(JSON.parse(message), origin);
  window.close();
}
</script>
