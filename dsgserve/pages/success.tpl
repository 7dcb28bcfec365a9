% # After a sign-in or an acceptance without a target.
% rebase("base.tpl")
<p>You can close this window, or <a href="/">go to your datasets</a>.</p>
