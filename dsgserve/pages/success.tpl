% # After terms were accepted with nowhere to go on to.
% rebase("base.tpl", title=title, nonce=nonce)
<p>Thank you. You can close this window, or see <a href="/">your datasets</a>.</p>
